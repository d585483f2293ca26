import { type MessageId, t } from "../../i18n.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";

/** Default server address of programs. */
const USUAL = "http://127.0.0.1:60010";

/** Returns the steps that make a program appear on this page, the easiest first; they can be copied. */
function steps(origin: string): [MessageId, string][] {
  const server = origin === USUAL ? "" : `MONITOR_SERVER_URL=${origin} `;
  return [
    ["empty.command", `${server}monitor run -- sleep 3`],
    ["empty.depend", '[dependencies]\nmonitor-client = { path = "…/monitor-client" }'],
    ["empty.annotate", "#[monitor_client::root_task]\nfn main() {\n    work();\n}\n\n#[monitor_client::normal_task]\nfn work() {}"],
    ["empty.run", `MONITOR_ENABLED=1 ${server}cargo run`],
  ];
}

export function Empty() {
  const [easiest, ...rest] = steps(location.origin);
  return (
    <div className="empty">
      <h2>{t("empty.title")}</h2>
      <p>{t("empty.intro")}</p>
      <ol>{easiest && <Step of={easiest} />}</ol>
      <p className="then">{t("empty.then")}</p>
      <ol>
        {rest.map((step) => (
          <Step key={step[0]} of={step} />
        ))}
      </ol>
    </div>
  );
}

function Step({ of: [label, code] }: { of: [MessageId, string] }) {
  return (
    <li>
      <p>{t(label)}</p>
      <div className="code">
        <pre className="mono" tabIndex={0}>
          {code}
        </pre>
        <CopyButton text={code} />
      </div>
    </li>
  );
}
