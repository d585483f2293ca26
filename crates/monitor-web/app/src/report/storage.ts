/** Replaces browser storage that is refused to files by memory. Imported before all modules that use storage. */
export {};

function works(name: "localStorage" | "sessionStorage"): boolean {
  try {
    window[name].setItem("monitor-probe", "");
    window[name].removeItem("monitor-probe");
    return true;
  } catch {
    return false;
  }
}

function inMemory(): Storage {
  const kept = new Map<string, string>();
  return {
    get length() {
      return kept.size;
    },
    key: (index) => [...kept.keys()][index] ?? null,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    clear: () => kept.clear(),
  };
}

for (const name of ["localStorage", "sessionStorage"] as const) {
  if (!works(name)) Object.defineProperty(window, name, { value: inMemory() });
}
