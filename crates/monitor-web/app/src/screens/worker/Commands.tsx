import type { Command, CommandPage } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import { Answer, pretty, Status } from "./Answer.tsx";

export const MOST_COMMANDS = 10;

interface Props {
  page: CommandPage | undefined;
  error: unknown;
  withQuestions: boolean;
  onQuestions: () => void;
  onRetry: () => void;
}

/** The newest commands to a worker, with sender and answer. */
export function Commands({ page, error, withQuestions, onQuestions, onRetry }: Props) {
  const commands = page?.commands ?? [];
  return (
    <section aria-labelledby="worker-commands" className="commands">
      <h2 id="worker-commands">{t("worker.commands")}</h2>
      <Button className="toggle" aria-pressed={withQuestions} onClick={onQuestions}>
        {t("worker.commands.questions")}
      </Button>
      {error != null && <ProblemNotice error={error} onRetry={onRetry} />}
      {commands.length === 0 && error == null && <p className="dim">{t("workers.nothing")}</p>}
      <ul>
        {commands.map((command) => (
          <OneCommand key={command.id} command={command} />
        ))}
      </ul>
      {page?.next_cursor != null && <p className="dim">{t("worker.more-work", { count: MOST_COMMANDS })}</p>}
    </section>
  );
}

function OneCommand({ command: { id, method, arguments: given, by, created_us, until_us, lines } }: { command: Command }) {
  const line = lines?.[0];
  const isGiven = Object.keys(given).length > 0;
  return (
    <li data-command={id}>
      <details>
        <summary>
          {line ? <Status line={line} /> : <span />}
          <span>{wordText("worker.method", method)}</span>
          <span className="given mono dim" translate="no">
            {isGiven && visible(JSON.stringify(given))}
          </span>
          <span className="by" translate="no">
            {visible(by)}
          </span>
          <span className="dim">
            <Ago timeUs={created_us} />
          </span>
        </summary>
        {isGiven && (
          <pre tabIndex={0} translate="no">
            {pretty(given)}
          </pre>
        )}
        {until_us != null && (
          <p className="dim">
            {t("worker.commands.until")} <Ago timeUs={until_us} />
          </p>
        )}
        {line && <Answer line={line} />}
      </details>
    </li>
  );
}
