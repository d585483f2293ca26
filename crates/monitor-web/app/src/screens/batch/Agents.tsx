import { useQuery } from "@tanstack/react-query";
import { fetchAgents } from "../../api/batch.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { absolute } from "../../model/time.ts";

const AGAIN_MS = 1000;

/** Reasons why agents don't run all tasks: pauses, and errors in their task files. */
export function Agents() {
  const query = useQuery({ queryKey: ["agents"], queryFn: ({ signal }) => fetchAgents(signal), staleTime: 0 });
  useAgain(["batch"], query, AGAIN_MS);
  useAgainAt((query.data?.agents ?? []).map(({ paused_until_us }) => paused_until_us), query);
  const lines = (query.data?.agents ?? []).flatMap(({ name, paused_from_us, paused_until_us, mistakes = [] }) => {
    const isPaused = typeof paused_from_us === "number" && (paused_until_us ?? Infinity) > Date.now() * 1000;
    const until = typeof paused_until_us === "number" ? absolute(paused_until_us).slice(0, 19) : "";
    const paused = isPaused ? [t(until ? "batch.agent.paused-until" : "batch.agent.paused", { agent: visible(name), until })] : [];
    return [...paused, ...mistakes.map((mistake) => `${visible(name)}: ${visible(mistake)}`)];
  });
  if (lines.length === 0) return null;
  return (
    <ul className="agents bad" aria-label={t("batch.agent.hindered")}>
      {lines.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}
