/** Filters kept under a name of their own. */
import { type Filters, filtersOf } from "./filters.ts";

export interface Saved {
  name: string;
  filters: Filters;
}

/** Reads what was kept; what is damaged is left out. */
export function parseSaved(text: string | null): Saved[] {
  let found: unknown;
  try {
    found = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(found)) return [];
  return found.flatMap((each: unknown) => {
    const { name, filters } = (each ?? {}) as Partial<Record<keyof Saved, unknown>>;
    if (typeof name !== "string" || name === "" || typeof filters !== "object" || filters === null) return [];
    return [{ name, filters: filtersOf(filters as Record<string, unknown>) }];
  });
}

/** With one more, in the place of one of the same name; sorted by name. */
export function withSaved(saved: readonly Saved[], one: Saved): Saved[] {
  return [...saved.filter(({ name }) => name !== one.name), one].sort((a, b) => a.name.localeCompare(b.name));
}

/** What a set of filters may be called: what is in it. */
export function nameOf(filters: Filters): string {
  return Object.values(filters).join(" · ");
}
