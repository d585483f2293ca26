import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useState } from "react";
import { askWorker } from "../../api/commands.ts";
import type { Worker } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { CHANGING, type Field, fieldsOf, READING, readArguments, type Typed } from "../../model/orders.ts";
import { visible } from "../../model/text.ts";
import type { Pool } from "../../model/worker-stats.ts";
import { Button } from "../../ui/Button.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Input } from "../../ui/Input.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { Answer } from "./Answer.tsx";

const TIMEOUT_MS = 5000;

interface Props {
  worker: Worker;
  /** The worker's name, as commands have it. */
  name: string;
  method: string;
  pool: Pool | undefined;
  /** Words that an argument of this name is likely to have. */
  known: Readonly<Record<string, readonly string[]>>;
  onClose: (hasChanged: boolean) => void;
}

/**
 * Sends a command to a worker and shows the answer. For a command that changes something, it first shows the effect and asks for
 * confirmation.
 */
export function OrderDialog({ worker, name, method, pool, known, onClose }: Props) {
  const fields = fieldsOf(method);
  const isReading = method in READING;
  const [typed, setTyped] = useState<Typed>({});
  const [wrong, setWrong] = useState<string>();
  const asking = useMutation({ mutationFn: (given: Record<string, unknown>) => askWorker(worker.id, method, given, TIMEOUT_MS) });
  const line = asking.data?.lines?.[0];
  const isAsked = isReading && fields.length === 0;
  useEffect(() => {
    // A question without arguments needs no second word.
    if (isAsked) asking.mutate({});
  }, []);
  const send = (event: FormEvent) => {
    event.preventDefault();
    const read = readArguments(fields, typed);
    setWrong("wrong" in read ? read.wrong : undefined);
    if ("arguments" in read) asking.mutate(read.arguments);
  };
  const close = () => onClose(!isReading && asking.isSuccess);
  const title = wordText("worker.method", method);
  return (
    <Dialog label={title} className="ask order" onClose={close}>
      <h2>{title}</h2>
      <p className="mono" translate="no">
        {visible(name)}
      </p>
      <form onSubmit={send}>
        {!asking.data && fields.map((field, index) => <Argument key={field.name} field={field} isFirst={index === 0} typed={typed} isWrong={wrong === field.name} known={known[field.name] ?? []} onType={setTyped} />)}
        {!isReading && !asking.data && <Effect worker={worker} method={method} typed={typed} pool={pool} />}
        {asking.isPending && <p className="dim">{t("worker.asking")}</p>}
        {asking.error && (
          <p className="bad" role="alert">
            {problemText(asking.error)}
          </p>
        )}
        {line && (
          <div role="status">
            <Answer line={line} />
          </div>
        )}
        <p className="buttons">
          {!isAsked && !asking.data && (
            <Button type="submit" className={isReading ? "outlined" : "outlined danger"} disabled={asking.isPending}>
              {isReading ? t("worker.ask") : title}
            </Button>
          )}
          <Button className="outlined" autoFocus={fields.length === 0} onClick={close}>
            {t(asking.data || isAsked ? "worker.close" : "worker.not")}
          </Button>
        </p>
      </form>
    </Dialog>
  );
}

interface ArgumentProps {
  field: Field;
  isFirst: boolean;
  typed: Typed;
  isWrong: boolean;
  known: readonly string[];
  onType: (typed: Typed) => void;
}

function Argument({ field: { name, kind, isOptional }, isFirst, typed, isWrong, known, onType }: ArgumentProps) {
  const id = useId();
  const label = wordText("worker.argument", name);
  if (kind === "flag") {
    return (
      <label className="flag">
        <Input type="checkbox" checked={!!typed[name]} onChange={(event) => onType({ ...typed, [name]: event.target.checked ? "1" : "" })} /> {label}
      </label>
    );
  }
  const field = {
    id,
    value: typed[name] ?? "",
    autoFocus: isFirst,
    "aria-invalid": isWrong || undefined,
    "aria-describedby": `${id}-hint`,
    onChange: (event: { target: { value: string } }) => onType({ ...typed, [name]: event.target.value }),
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {kind === "ids" || kind === "object" ? <textarea rows={3} {...field} /> : <Input list={known.length > 0 ? `${id}-known` : undefined} inputMode={kind === "count" ? "numeric" : undefined} {...field} />}
      {known.length > 0 && (
        <datalist id={`${id}-known`} translate="no">
          {[...new Set(known)].map((word) => (
            <option key={word} value={word} />
          ))}
        </datalist>
      )}
      <span id={`${id}-hint`} className={isWrong ? "hint bad" : "hint dim"} role={isWrong ? "alert" : undefined}>
        {name === "rate" || name === "level" ? wordText("worker.hint.of", name) : wordText("worker.hint", kind)} {isOptional && t("worker.hint.optional")}
      </span>
    </div>
  );
}

/** The effect of a command, in numbers as far as they are known. */
function Effect({ worker, method, typed, pool }: { worker: Worker; method: string; typed: Typed; pool: Pool | undefined }) {
  const n = Number(typed["n"] ?? "");
  const ids = (typed["ids"] ?? "").split(/[\s,]+/).filter((id) => id !== "").length;
  const resized = pool && n > 0 ? (method === "pool-grow" ? pool.size + n : method === "pool-shrink" ? Math.max(0, pool.size - n) : undefined) : undefined;
  const sentences = [
    method in CHANGING ? t(`worker.effect.${method}` as "worker.effect.pause") : t("worker.effect.own"),
    method === "revoke" && t("worker.effect.ids", { count: ids }),
    (method === "pause" || method === "shutdown") && t("worker.effect.running", { count: worker.running }),
    method === "shutdown" && !!typed["now"] && t("worker.effect.now"),
    resized !== undefined && t("worker.effect.resized", { from: pool?.size ?? 0, to: resized }),
    method === "autoscale" && pool && t("worker.effect.pool", { size: pool.size }),
  ];
  return <p className="effect">{sentences.filter(Boolean).join(" ")}</p>;
}
