// Begins to read what the address asks for while the page's own scripts are still on their way: `api/ahead.ts` takes it.
{
  const [, root] = /^\/tasks\/([^/]+)$/.exec(location.pathname) ?? [];
  const path =
    location.pathname === "/tasks" && location.search === ""
      ? "/api/v1/roots?limit=100"
      : root !== undefined && !["about", "statistics", "workers"].includes(root)
        ? `/api/v1/roots/${root}/tree?limit=250`
        : undefined;
  if (path !== undefined) {
    const answer = fetch(path, { headers: { accept: "application/json" } });
    // Whoever takes it hears of it.
    answer.catch(() => undefined);
    globalThis.ahead = { url: location.origin + path, answer };
  }
}
