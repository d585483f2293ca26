import { type MessageId, t } from "../../i18n.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";

/** The lines that bring a program onto this page; they are to be copied as they stand. */
function steps(origin: string): [MessageId, string][] {
  return [
    ["empty.depend", '[dependencies]\nmonitor-client = { path = "…/monitor-client" }'],
    ["empty.annotate", "#[monitor_client::root_task]\nfn main() {\n    work();\n}\n\n#[monitor_client::normal_task]\nfn work() {}"],
    ["empty.run", `MONITOR_ENABLED=1 MONITOR_SERVER_URL=${origin} cargo run`],
    ["empty.cli", "cargo install --path monitor-cli\nmonitor roots"],
  ];
}

export function Empty() {
  return (
    <div className="empty">
      <h2>{t("empty.title")}</h2>
      <p>{t("empty.intro")}</p>
      <ol>
        {steps(location.origin).map(([label, code]) => (
          <li key={label}>
            <p>{t(label)}</p>
            <div className="code">
              <pre className="mono">{code}</pre>
              <CopyButton text={code} />
            </div>
          </li>
        ))}
      </ol>
    </div>
  );
}
