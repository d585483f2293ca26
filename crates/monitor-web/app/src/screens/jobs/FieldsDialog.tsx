import { useState } from "react";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Input } from "../../ui/Input.tsx";
import { problemText } from "../../ui/Problem.tsx";

interface FieldOf<Name extends string> {
  name: Name;
  label: string;
  placeholder: string;
  isRequired?: boolean;
  isFixed?: boolean;
  isNumber?: boolean;
}

/** A form of one-line fields in a dialog. `save` returns a mistake, or nothing once the texts are stored. */
export function FieldsDialog<Name extends string>({ title, fields, texts: first, save, onClose }: { title: string; fields: readonly FieldOf<Name>[]; texts: Record<Name, string>; save: (texts: Record<Name, string>) => Promise<string | undefined>; onClose: () => void }) {
  const [texts, setTexts] = useState(first);
  const [refused, setRefused] = useState<string>();
  const submit = async () => {
    const mistake = await save(texts).catch((error: unknown) => problemText(error));
    if (mistake === undefined) onClose();
    else setRefused(mistake);
  };
  return (
    <Dialog label={title} className="ask host-dialog" onClose={onClose}>
      <h2>{title}</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        {fields.map(({ name, label, placeholder, isRequired, isFixed, isNumber }) => (
          <div key={name} className="field">
            <label htmlFor={`host-${name}`}>{label}</label>
            <Input
              id={`host-${name}`}
              value={texts[name]}
              placeholder={placeholder}
              required={isRequired}
              readOnly={isFixed}
              inputMode={isNumber ? "numeric" : "text"}
              pattern={isNumber ? "\\d+" : undefined}
              translate="no"
              onChange={(event) => setTexts({ ...texts, [name]: event.target.value })}
            />
          </div>
        ))}
        {refused !== undefined && (
          <p className="bad lines" role="alert">
            {visible(refused)}
          </p>
        )}
        <p className="buttons">
          <Button type="submit" className="primary">
            {t("jobs.hosts.save")}
          </Button>
          <Button className="quiet" onClick={onClose}>
            {t("jobs.ask.not")}
          </Button>
        </p>
      </form>
    </Dialog>
  );
}

/** Asks before something is removed. */
export function RemoveDialog({ title, why, onRemove, onClose }: { title: string; why: string; onRemove: () => void; onClose: () => void }) {
  return (
    <Dialog label={t("jobs.hosts.remove")} className="ask" onClose={onClose}>
      <h2>{title}</h2>
      <p>{why}</p>
      <p className="buttons">
        <Button className="outlined danger" onClick={() => {
            onRemove();
            onClose();
          }}>
          {t("jobs.hosts.remove")}
        </Button>
        <Button className="outlined" autoFocus onClick={onClose}>
          {t("jobs.ask.not")}
        </Button>
      </p>
    </Dialog>
  );
}
