import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useDeferredValue, useState } from "react";
import { deleteBatchTask, fetchBatchTask, fetchNextDues, saveBatchTask } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { type Draft, EXAMPLES, draftOf, mistakesOf, readDraft } from "../../model/batch-draft.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { ItemHead } from "../../ui/Head.tsx";
import { Input } from "../../ui/Input.tsx";
import { AdminButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice, problemText } from "../../ui/Problem.tsx";
import { At } from "../../ui/Time.tsx";
import { Rehearsal } from "./Rehearsal.tsx";

const ZONES = Intl.supportedValuesOf("timeZone");

/** The form for a new task, or a new definition of an existing one. */
export function Edit({ name }: { name: string | undefined }) {
  const query = useQuery({
    queryKey: ["batch-edit", name],
    queryFn: ({ signal }) => fetchBatchTask(name!, signal),
    enabled: name !== undefined,
    // The text must not change while the user edits it. The version detects changes by other users.
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
  if (name === undefined || query.data) return <Form task={query.data} />;
  return (
    <div className="pane batch">
      <ItemHead back={backTo(name)} title={t("batch.edit")} />
      {query.error ? <ProblemNotice error={query.error} onRetry={() => void query.refetch()} /> : <p className="notice dim">{t("loading")}</p>}
    </div>
  );
}

/** The way back: to the task, or to the list of tasks. */
function backTo(name: string | undefined) {
  return name === undefined ? { to: "/tasks/batch", label: t("batch.title") } : { to: "/tasks/batch", search: { task: name }, label: visible(name) };
}

function Form({ task }: { task: BatchTask | undefined }) {
  const [draft, setDraft] = useState(() => draftOf(task?.definition ?? {}));
  const [refused, setRefused] = useState<string>();
  const navigate = useNavigate();
  const mistakes = mistakesOf(refused ?? "");
  const change = (key: keyof Draft) => (value: string) => {
    setDraft({ ...draft, [key]: value });
    setRefused(undefined);
  };
  const save = async () => {
    try {
      const definition = readDraft(draft);
      const saved = await saveBatchTask(task?.name ?? draft.name.trim(), definition, task?.version);
      await navigate({ to: "/tasks/batch", search: { task: saved.name } });
    } catch (error) {
      setRefused(problemText(error));
    }
  };
  const [asks, setAsks] = useState(false);
  const remove = async (gone: BatchTask) => {
    setAsks(false);
    try {
      await deleteBatchTask(gone.name, gone.version);
      await navigate({ to: "/tasks/batch", search: {} });
    } catch (error) {
      setRefused(problemText(error));
    }
  };
  const field = (key: keyof Draft, input: (props: { id: string; value: string; onChange: (event: { target: { value: string } }) => void; "aria-invalid": boolean; "aria-describedby": string; placeholder: string | undefined }) => ReactNode) => (
    <Field name={key} mistake={mistakes.fields[key]}>
      {input({ id: `batch-${key}`, value: draft[key], onChange: (event) => change(key)(event.target.value), "aria-invalid": mistakes.fields[key] !== undefined, "aria-describedby": `batch-${key}-hint`, placeholder: EXAMPLES[key] })}
    </Field>
  );
  const back = backTo(task?.name);
  return (
    <div className="pane batch">
      <ItemHead back={back} title={t(task === undefined ? "batch.new" : "batch.edit")} facts={task ? [visible(task.name)] : []}>
        <Link to={back.to} search={back.search ?? {}} className="quiet">
          {t("dialog.cancel")}
        </Link>
        {task && (
          <AdminButton className="quiet" onClick={() => setAsks(true)}>
            {t("batch.delete")}
          </AdminButton>
        )}
        <AdminButton className="primary" onClick={() => void save()}>
          {t("batch.save")}
        </AdminButton>
      </ItemHead>
      <div className="body two">
        <form
          className="edit"
          onSubmit={(event) => {
            event.preventDefault();
            void save();
          }}
        >
          <WhyRefused right="admin" />
          {mistakes.others.length > 0 && (
            <p className="bad lines" role="alert">
              {mistakes.others.map(visible).join("\n")}
            </p>
          )}
          {task === undefined && field("name", (props) => <Input {...props} required autoFocus />)}
          {field("command", (props) => <textarea {...props} rows={2} className="mono" />)}
          {field("rules", (props) => <textarea {...props} rows={2} className="mono" />)}
          {field("zone", (props) => <Input {...props} list="batch-zones" />)}
          <datalist id="batch-zones">
            {ZONES.map((zone) => (
              <option key={zone} value={zone} />
            ))}
          </datalist>
          {field("on", (props) => <Input {...props} />)}
          {field("timeout", (props) => <Input {...props} />)}
          {field("owner", (props) => <Input {...props} />)}
          {field("rest", (props) => <textarea {...props} rows={8} className="mono" spellCheck={false} />)}
          {/* Enter in a field saves. */}
          <Button type="submit" hidden />
        </form>
        <div className="side">
          <Preview draft={draft} name={task?.name ?? draft.name} />
          <Rehearsal draft={draft} />
        </div>
      </div>
      {asks && task && <DeleteTask task={task} onDelete={() => void remove(task)} onClose={() => setAsks(false)} />}
    </div>
  );
}

/** Asks for confirmation before a task is deleted. */
function DeleteTask({ task, onDelete, onClose }: { task: BatchTask; onDelete: () => void; onClose: () => void }) {
  return (
    <Dialog label={t("batch.delete")} className="ask" onClose={onClose}>
      <h2>{t("batch.delete.ask", { name: visible(task.name) })}</h2>
      <p>{t("batch.delete.why")}</p>
      <p className="buttons">
        <Button className="outlined danger" onClick={onDelete}>
          {t("batch.delete")}
        </Button>
        <Button className="outlined" autoFocus onClick={onClose}>
          {t("tasks.delete.not")}
        </Button>
      </p>
    </Dialog>
  );
}

/** A label, an input, its error, and its description. */
function Field({ name, mistake, children }: { name: keyof Draft; mistake: string | undefined; children: ReactNode }) {
  return (
    <div className="field">
      <label htmlFor={`batch-${name}`}>{t(`batch.field.${name}`)}</label>
      <div>
        {children}
        {mistake !== undefined && (
          <p className="bad" role="alert">
            {visible(mistake)}
          </p>
        )}
        <p id={`batch-${name}-hint`} className="dim hint">
          {t(`batch.hint.${name}`)}
        </p>
      </div>
    </div>
  );
}

/** The next due times of the rules, in the task's time zone and in the reader's. */
function Preview({ draft, name }: { draft: Draft; name: string }) {
  const wanted = useDeferredValue([draft.rules, draft.zone, name].join("\0"));
  const [rules = "", zone = "", task = ""] = wanted.split("\0");
  const list = rules.split("\n").map((rule) => rule.trim()).filter((rule) => rule !== "").join("; ");
  const query = useQuery({
    queryKey: ["batch-rules", list, zone, task],
    queryFn: ({ signal }) => fetchNextDues({ rules: list, ...(zone.trim() && { zone: zone.trim() }), ...(task.trim() && { name: task.trim() }) }, signal),
    enabled: list !== "",
    placeholderData: (before) => before,
    retry: false,
  });
  return (
    <section aria-live="polite">
      <h2>{t("batch.next")}</h2>
      {list === "" ? (
        <p className="dim">{t("batch.preview.none")}</p>
      ) : query.error ? (
        <p className="bad lines">{visible(problemText(query.error))}</p>
      ) : (
        <ol className="next">
          {query.data?.due.map((due) => (
            <li key={due.due_us}>
              <span className="mono">
                {due.local.slice(0, 19).replace("T", " ")} {visible(query.data.zone)}
              </span>{" "}
              <span className="dim">
                <At timeUs={due.due_us} /> {due.note !== null && noteText(due.note)}
              </span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** Returns the effect of a clock change on a due time, translated if the note is known. */
function noteText(note: string): string {
  const [, skipped] = /^the clock skips (\d\d:\d\d:\d\d)/.exec(note) ?? [];
  if (skipped !== undefined) return t("batch.note.skips", { time: skipped });
  const [, which] = /^the clock shows this time twice: this is the (first|second) one$/.exec(note) ?? [];
  return which === undefined ? visible(note) : t(which === "first" ? "batch.note.first" : "batch.note.second");
}
