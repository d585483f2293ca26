/** Named filters that are stored in the browser. */
import { type Filters, filtersOf } from "./filters.ts";

export interface Saved {
  name: string;
  filters: Filters;
}

/** Parses stored filters; invalid entries are ignored. */
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

/** Adds a filter or replaces the one with the same name; sorted by name. */
export function withSaved(saved: readonly Saved[], one: Saved): Saved[] {
  return [...saved.filter(({ name }) => name !== one.name), one].sort((a, b) => a.name.localeCompare(b.name));
}

/** Returns a default name that describes the filters. */
export function nameOf(filters: Filters): string {
  return Object.values(filters).join(" · ");
}
