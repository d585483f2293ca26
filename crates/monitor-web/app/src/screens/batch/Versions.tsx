import { useQuery } from "@tanstack/react-query";
import { fetchBatchVersions, saveBatchTask } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { AdminButton } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";

/** The versions of a task's definition, each with its changes. An older one can be restored. */
export function Versions({ task, act }: { task: BatchTask; act: (deed: () => Promise<void>) => void }) {
  const query = useQuery({ queryKey: ["batch-versions", task.name, task.version], queryFn: ({ signal }) => fetchBatchVersions(task.name, signal) });
  const versions = query.data?.versions ?? [];
  return (
    <section aria-label={t("batch.view.versions")}>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
      <ol className="versions">
        {versions.map((version) => (
          <li key={version.version} data-version={version.version}>
            <b>{t("batch.version", { version: version.version })}</b>{" "}
            <span className="dim">
              {visible(version.who ?? "")} <Ago timeUs={version.time_us} />
            </span>{" "}
            {task.agent === null && version.version !== task.version && version.definition && (
              <AdminButton className="outlined" onClick={() => act(() => saveBatchTask(task.name, version.definition, task.version).then(() => undefined))}>
                {t("batch.restore")}
              </AdminButton>
            )}
            {version.diff.length > 0 && (
              <pre className="mono">
                {version.diff.map((line) => (
                  <span key={line} data-sign={line.slice(0, 1)}>
                    {visible(line)}
                    {"\n"}
                  </span>
                ))}
              </pre>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
