import { stringify } from "smol-toml";
import { t } from "../../i18n.ts";
import { CommandLine } from "../../ui/CommandLine.tsx";

/** A definition in TOML, as in files and in the documentation. */
export function Definition({ of }: { of: Readonly<Record<string, unknown>> }) {
  return (
    <section className="definition" aria-label={t("batch.view.definition")}>
      <CommandLine text={stringify(of).trim()} />
    </section>
  );
}
