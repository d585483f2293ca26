/** A map that outlives a reload of the page in the same tab. */
export function keptMap<Value>(key: string): Map<string, Value> {
  const map = new Map<string, Value>(read(key));
  addEventListener("pagehide", () => sessionStorage.setItem(key, JSON.stringify([...map])));
  return map;
}

function read<Value>(key: string): [string, Value][] {
  try {
    const entries: unknown = JSON.parse(sessionStorage.getItem(key) ?? "[]");
    return Array.isArray(entries) ? (entries as [string, Value][]) : [];
  } catch {
    return [];
  }
}
