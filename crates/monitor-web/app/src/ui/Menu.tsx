import { type ReactNode, useEffect, useRef } from "react";

/** A button that opens a menu below it; Esc, a choice, or a click outside closes it. */
export function Menu({ label, className = "", children }: { label: ReactNode; className?: string; children: ReactNode }) {
  const details = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      if (details.current?.open && !details.current.contains(event.target as Node)) details.current.open = false;
    };
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, []);
  const shut = () => {
    if (details.current) details.current.open = false;
  };
  return (
    <details
      ref={details}
      className={`menu ${className}`}
      onClick={(event) => (event.target as Element).closest("[data-choice]") && shut()}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        event.stopPropagation();
        shut();
        details.current.querySelector("summary")?.focus();
      }}
    >
      <summary>{label}</summary>
      <div className="choices">{children}</div>
    </details>
  );
}
