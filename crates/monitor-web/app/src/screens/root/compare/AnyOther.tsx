import { useState } from "react";
import { t } from "../../../i18n.ts";
import { Input } from "../../../ui/Input.tsx";

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
      <Input type="text" aria-label={t("compare.any")} placeholder={t("compare.any")} value={text} onChange={(event) => setText(event.target.value)} />
    </form>
  );
}
