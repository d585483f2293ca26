import { useState } from "react";
import { t } from "../../../i18n.ts";

/** Input for the id or number of any run. */
export function AnyOther({ onChoose }: { onChoose: (id: string) => void }) {
  const [text, setText] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== "") onChoose(text.trim());
      }}
    >
      <input type="text" aria-label={t("compare.any")} placeholder={t("compare.any")} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />
    </form>
  );
}
