import { useQuery } from "@tanstack/react-query";
import { fetchProcess } from "../../api/client.ts";
import type { Process } from "../../api/types.ts";
import { count, t, wordText } from "../../i18n.ts";
import { Button } from "../../ui/Button.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Said } from "../../ui/Text.tsx";
import { ToRun } from "./around.tsx";
import { Row, Section } from "./facts.tsx";
import type { RootView } from "./view.ts";

/** Maximum number of listed links from the same tree. */
const MOST_LINKS = 50;

/** The links of a process, and links to it: from its own tree, which is loaded, and from other trees, which the server returns. */
export function Links({ view, process, onSelect }: { view: RootView; process: Process; onSelect: (id: string) => void }) {
  const { id, root_id } = process;
  const query = useQuery({ queryKey: ["process", root_id, id], queryFn: ({ signal }) => fetchProcess(root_id, id, signal) });
  const links = process.links ?? [];
  const own = view.tree.linkedFrom(id);
  const others = query.data?.linked_from ?? { count: 0, links: [] };
  const listed = new Set(others.links.map((from) => `${from.root_id} ${from.id}`)).size;
  return (
    <>
      {links.length > 0 && (
        <Section title={t("panel.links")}>
          {links.map((link) => (
            <Row key={`${link.relation} ${link.root_id} ${link.id}`} label={wordText("relation", link.relation)}>
              <ToRun className="link mono" root={link.root_id} process={link.id}>
                {link.id}
              </ToRun>
            </Row>
          ))}
        </Section>
      )}
      {own.length + others.links.length > 0 && (
        <Section title={t("panel.linked-from")}>
          {own.slice(0, MOST_LINKS).map((from) => (
            <Row key={`${from.relation} ${from.slot}`} label={wordText("relation", from.relation)}>
              <Button className="inline" onClick={() => onSelect(view.tree.idOf(from.slot))}>
                <Said text={view.tree.siteOf(from.slot).name} />
              </Button>
            </Row>
          ))}
          {others.links.map((from) => (
            <Row key={`${from.relation} ${from.root_id} ${from.id}`} label={wordText("relation", from.relation)}>
              <StateGlyph state={from.state} />{" "}
              <ToRun root={from.root_id} process={from.id}>
                <Said text={from.name === "" ? t("root.unnamed") : from.name} />
              </ToRun>{" "}
              <span className="dim">
                <Said text={from.title} />
              </span>
            </Row>
          ))}
        </Section>
      )}
      {others.count > listed && <p className="dim">{t("panel.linked-from.more", { listed: count(listed), count: count(others.count) })}</p>}
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
    </>
  );
}
