import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { fetchComparison, fetchPublication, fetchPublications, fetchPublishedFile, restorePublication } from "../../api/batch.ts";
import { ApiError } from "../../api/client.ts";
import type { BatchLeft, BatchPublication, BatchTask } from "../../api/types.ts";
import { bytes, t, wordText } from "../../i18n.ts";
import { type Published, leftBefore, publicationBefore } from "../../model/batch-publications.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import { ProblemNotice, problemText } from "../../ui/Problem.tsx";
import { At } from "../../ui/Time.tsx";
import { agentsOf, orderText } from "./parts.tsx";

/** Content below the lists: the files of a publication, or the differences from the previous one. */
interface Opened extends Published {
  with?: Published;
}

/** Publications of a task and files left by its runs, as its agents report them. */
export function Publications({ task }: { task: BatchTask }) {
  const { name, definition } = task;
  const targets = Object.keys(typeof definition["publish"] === "object" ? (definition["publish"] ?? {}) : {});
  const query = useQuery({ queryKey: ["batch-publications", name], queryFn: ({ signal }) => fetchPublications(name, signal), retry: false });
  const [opened, setOpened] = useState<Opened>();
  const [said, act] = useDeed(() => void query.refetch());
  const { publications = [], history = [], silent = [] } = query.data ?? {};
  if (query.error instanceof ApiError && (query.error.status === 404 || query.error.status === 503)) {
    return (
      <p className="more bad" role="alert">
        {t("batch.publications.silent", { agent: agentsOf(task) })}{" "}
        <Button className="outlined" onClick={() => void query.refetch()}>
          {t("problem.retry")}
        </Button>
      </p>
    );
  }
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  if (query.isPending) return <p className="more dim">{t("loading")}</p>;
  const restore = (id: string, agent: string, target?: string) => act(() => restorePublication(name, id, agent, target).then(orderText));
  const buttons = (of: Published, before: Published | undefined, deed: ReactNode) => <Buttons of={of} before={before} opened={opened} onOpen={setOpened} deed={deed} />;
  return (
    <>
      <DeedSaid said={said} />
      {silent.map(({ agent }) => (
        <p key={agent} className="more bad">
          {t("batch.publications.silent", { agent: visible(agent) })}
        </p>
      ))}
      {publications.length === 0 && history.length === 0 && <p className="more dim">{t("batch.publications.none")}</p>}
      {publications.length > 0 && <PublicationTable publications={publications} buttons={buttons} restore={restore} />}
      {history.length > 0 && (
        <>
          <h2>{t("batch.history")}</h2>
          <LeftTable history={history} targets={targets} buttons={buttons} restore={restore} />
        </>
      )}
      {opened && (opened.with ? <Comparison key={`${opened.agent} ${opened.id} with`} task={name} of={opened} before={opened.with} /> : <Files key={`${opened.agent} ${opened.id}`} task={name} of={opened} />)}
    </>
  );
}

interface Deeds {
  /** Renders the buttons of a row, which can be compared with the previous one. */
  buttons: (of: Published, before: Published | undefined, deed: ReactNode) => ReactNode;
  restore: (id: string, agent: string, target?: string) => void;
}

function PublicationTable({ publications, buttons, restore }: Deeds & { publications: readonly BatchPublication[] }) {
  return (
    <DataList label={t("batch.publications")} columns={[column("published"), column("target"), { key: "status", text: t("batch.column.state") }, { key: "run-id", text: t("batch.column.run") }, ...storedColumns()]}>
      {publications.map((of) => (
        <tr key={`${of.agent} ${of.number}`} data-publication={of.number}>
          <td>
            <At timeUs={of.time_us} />
          </td>
          <td>
            {visible(of.target)} {of.is_current && <strong>{t("batch.publications.current")}</strong>}
          </td>
          <td title={of.error === null ? undefined : visible(of.error)}>
            {wordText("batch.publication", of.state)}
            {of.restores !== null && <span className="dim"> {t("batch.publications.restores", { number: of.restores })}</span>}
          </td>
          <td className="run-id">
            <RunLink run={of.run} />
          </td>
          <Stored of={of} />
          {buttons(
            { id: String(of.number), agent: of.agent },
            publicationBefore(publications, of),
            !of.is_current && of.state === "done" && (
              <OperatorButton className="outlined" onClick={() => restore(String(of.number), of.agent)}>
                {t("batch.restore")}
              </OperatorButton>
            ),
          )}
        </tr>
      ))}
    </DataList>
  );
}

/** Files that unpublished runs have left. */
function LeftTable({ history, targets, buttons, restore }: Deeds & { history: readonly BatchLeft[]; targets: readonly string[] }) {
  return (
    <DataList label={t("batch.history")} columns={[column("run"), { key: "aside folder", text: t("batch.column.folder") }, ...storedColumns()]}>
      {history.map((of) => (
        <tr key={`${of.agent} ${of.folder}`} data-left={of.run}>
          <td>
            <RunLink run={of.run} />
          </td>
          <td className="aside mono">{visible(of.folder)}</td>
          <Stored of={of} />
          {buttons(
            { id: of.run, agent: of.agent },
            leftBefore(history, of),
            targets.map((target) => (
              <OperatorButton key={target} className="outlined" onClick={() => restore(of.run, of.agent, target)}>
                {t("batch.publications.publish", { target: visible(target) })}
              </OperatorButton>
            )),
          )}
        </tr>
      ))}
    </DataList>
  );
}

interface ButtonsProps {
  of: Published;
  before: Published | undefined;
  opened: Opened | undefined;
  onOpen: (opened: Opened) => void;
  deed: ReactNode;
}

/** Buttons that open the files, or the differences from the previous publication. */
function Buttons({ of, before, opened, onOpen, deed }: ButtonsProps) {
  const isOpened = opened?.id === of.id && opened.agent === of.agent;
  return (
    <td className="deeds">
      <Button className="outlined" aria-expanded={isOpened && !opened.with} onClick={() => onOpen(of)}>
        {t("batch.publications.files")}
      </Button>{" "}
      {before && (
        <Button className="outlined" aria-expanded={isOpened && opened.with !== undefined} onClick={() => onOpen({ ...of, with: before })}>
          {t("batch.publications.compare")}
        </Button>
      )}{" "}
      {deed}
    </td>
  );
}

/** Headers of the columns that both lists have in common. */
function column(key: "published" | "target" | "run") {
  return { key, text: t(`batch.column.${key}`) };
}

/** The columns of `Stored`, and that of the buttons. */
function storedColumns() {
  return [
    { key: "aside files", text: t("batch.column.files") },
    { key: "aside agent", text: t("batch.column.agent") },
    { key: "ways", text: t("batch.column.deeds") },
  ];
}

/** Number of files, size and agent. */
function Stored({ of }: { of: { files: number; size_bytes: number; agent: string } }) {
  return (
    <>
      <td className="aside dim">{t("batch.publications.size", { count: of.files, size: bytes(of.size_bytes) })}</td>
      <td className="aside dim">{visible(of.agent)}</td>
    </>
  );
}

function RunLink({ run }: { run: string }) {
  return (
    <Link to="." search={(before: object) => ({ ...before, run })} className="link mono">
      {visible(run)}
    </Link>
  );
}

function Files({ task, of }: { task: string; of: Published }) {
  const query = useQuery({ queryKey: ["batch-publication", task, of.agent, of.id], queryFn: ({ signal }) => fetchPublication(task, of.id, of.agent, signal), retry: false });
  const [path, setPath] = useState<string>();
  return (
    <div className="published" role="region" aria-label={t("batch.publications.files-of", { id: visible(of.id) })}>
      <h3>{t("batch.publications.files-of", { id: visible(of.id) })}</h3>
      {query.error && <p className="bad">{visible(problemText(query.error))}</p>}
      {query.isPending && <p className="dim">{t("loading")}</p>}
      {query.data?.files.length === 0 && <p className="dim">{t("batch.publications.no-files")}</p>}
      <ul>
        {query.data?.files.map((file) => (
          <li key={file.path}>
            <Button className="mono" aria-expanded={file.path === path} onClick={() => setPath(file.path === path ? undefined : file.path)}>
              {visible(file.path)}
            </Button>{" "}
            <span className="dim">{file.link == null ? bytes(file.size_bytes) : `→ ${visible(file.link)}`}</span>
            {file.path === path && <FileText task={task} of={of} path={path} />}
          </li>
        ))}
      </ul>
      {query.data?.is_cut && <p className="dim">{t("batch.dues.cut")}</p>}
    </div>
  );
}

function FileText({ task, of, path }: { task: string; of: Published; path: string }) {
  const query = useQuery({ queryKey: ["batch-file", task, of.agent, of.id, path], queryFn: ({ signal }) => fetchPublishedFile(task, of.id, path, of.agent, signal), retry: false });
  if (query.error) return <p className="bad">{visible(problemText(query.error))}</p>;
  if (query.data === undefined) return <p className="dim">{t("loading")}</p>;
  if (query.data.text == null) return <p className="dim">{t("batch.publications.no-text")}</p>;
  return (
    <pre className="mono" tabIndex={0}>
      {visibleLines(query.data.text)}
      {query.data.is_cut && <span className="dim">{`\n${t("batch.dues.cut")}`}</span>}
    </pre>
  );
}

function Comparison({ task, of, before }: { task: string; of: Published; before: Published }) {
  const query = useQuery({ queryKey: ["batch-comparison", task, of.agent, of.id, before.id], queryFn: ({ signal }) => fetchComparison(task, before.id, of.id, of.agent, signal), retry: false });
  const title = t("batch.publications.differs", { id: visible(of.id), before: visible(before.id) });
  return (
    <div className="published" role="region" aria-label={title}>
      <h3>{title}</h3>
      {query.error && <p className="bad">{visible(problemText(query.error))}</p>}
      {query.isPending && <p className="dim">{t("loading")}</p>}
      {query.data?.changes.length === 0 && <p className="dim">{t("batch.publications.same")}</p>}
      <ul>
        {query.data?.changes.map(({ path, what, size_bytes, other_bytes }) => (
          <li key={path}>
            <span data-sign={what === "added" ? "+" : what === "removed" ? "-" : ""}>{wordText("batch.change", what)}</span> <span className="mono">{visible(path)}</span>{" "}
            <span className="dim">{[size_bytes, other_bytes].filter((size) => size != null).map((size) => bytes(size!)).join(" → ")}</span>
          </li>
        ))}
      </ul>
      {query.data?.is_cut && <p className="dim">{t("batch.dues.cut")}</p>}
    </div>
  );
}
