import { CopyButton } from "./CopyButton.tsx";

/** A complete command or text, with a button that copies it. */
export function CommandLine({ text }: { text: string }) {
  return (
    <div className="command">
      <pre className="mono" tabIndex={0} translate="no">
        {text}
      </pre>
      <CopyButton text={text} />
    </div>
  );
}
