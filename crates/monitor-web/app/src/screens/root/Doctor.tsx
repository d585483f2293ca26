import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchDoctor } from "../../api/client.ts";
import type { Process } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Said } from "../../ui/Text.tsx";
import { Code, Row, Section } from "./facts.tsx";

/** The likely parent of a process that lost its context, and the code change that would fix it. */
export function Doctor({ process }: { process: Process }) {
  const { id, root_id } = process;
  const query = useQuery({ queryKey: ["doctor", root_id, id], queryFn: ({ signal }) => fetchDoctor(root_id, id, signal) });
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  const found = query.data?.findings[0];
  if (!found) return null;
  return (
    <div className="doctor">
      <Section title={t("doctor.title")}>
        <Row label={t("doctor.likely")}>
          {found.likely.length === 0 && <span className="dim">{t("doctor.nothing-ran")}</span>}
          {found.likely.map(({ process: parent, title }) => (
            <p key={parent.id}>
              <Link className="link" to="/tasks/$root" params={{ root: parent.root_id }} search={{ process: parent.id }}>
                <Said text={parent.name} />
              </Link>{" "}
              <span className="dim">
                <Said text={[title, parent.source && `${parent.source.file}:${parent.source.line}`, parent.thread].filter(Boolean).join(" · ")} />
              </span>
            </p>
          ))}
        </Row>
        <Row label={t("doctor.fix")}>
          {wordText("doctor.fix", found.fix)}
          {found.line && <Code text={found.line} copy />}
        </Row>
      </Section>
    </div>
  );
}
