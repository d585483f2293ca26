import { useEffect, useRef, useState } from "react";
import { useSlash } from "./useSlash.ts";

const SETTLED_MS = 300;

/** A field that filters a list after a short pause; `/` focuses it. */
export function FilterField({ value, label, onChange }: { value: string | undefined; label: string; onChange: (text: string | undefined) => void }) {
  const [text, setText] = useState(value ?? "");
  const field = useRef<HTMLInputElement>(null);
  useSlash(field);
  useEffect(() => {
    if (text === (value ?? "")) return;
    const timer = setTimeout(() => onChange(text || undefined), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return <input ref={field} type="search" className="filter-field" value={text} placeholder={label} aria-label={label} onChange={(event) => setText(event.target.value)} />;
}
