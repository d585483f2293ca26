// The first paint, which comes before the page's own scripts, has the chosen theme.
document.documentElement.dataset.theme = localStorage.getItem("monitor-theme") ?? "system";

// Begins to read the data of the address while the page's own scripts are still on their way: `api/ahead.ts` takes it.
{
  const HOUR_US = 3.6e9;
  const [, root] = /^\/tasks\/([^/]+)$/.exec(location.pathname) ?? [];
  const paths =
    location.pathname === "/tasks" && location.search === ""
      ? ["/api/v1/roots?limit=100", `/api/v1/stats/causes?from=${(Math.floor((Date.now() * 1000) / HOUR_US) - 24) * HOUR_US}&limit=50`]
      : root !== undefined && !["about", "alerts", "batch", "jobs", "queue", "settings", "statistics", "workers"].includes(root)
        ? [`/api/v1/roots/${root}/tree?limit=250`]
        : [];
  globalThis.ahead = new Map(
    paths.map((path) => {
      const answer = fetch(path, { headers: { accept: "application/json" } });
      // The page that takes the answer handles the error.
      answer.catch(() => undefined);
      return [location.origin + path, answer];
    }),
  );
}
