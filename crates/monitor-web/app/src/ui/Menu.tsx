import { type ReactNode, useEffect, useRef, useState } from "react";

/** A button that opens a menu below it; Esc, a choice, or a click outside closes it. The choices exist while it is open: a list has many menus. */
export function Menu({ label, className = "", children }: { label: ReactNode; className?: string; children: ReactNode }) {
  const details = useRef<HTMLDetailsElement>(null);
  const [isOpen, setIsOpen] = useState(false);
  useEffect(() => {
    if (!isOpen) return;
    const close = (event: Event) => {
      if (details.current?.open && !details.current.contains(event.target as Node)) details.current.open = false;
    };
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, [isOpen]);
  const shut = () => {
    if (details.current) details.current.open = false;
  };
  return (
    <details
      ref={details}
      className={`menu ${className}`}
      onToggle={({ currentTarget }) => setIsOpen(currentTarget.open)}
      onClick={(event) => (event.target as Element).closest("[data-choice]") && shut()}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        event.stopPropagation();
        shut();
        details.current.querySelector("summary")?.focus();
      }}
    >
      <summary>{label}</summary>
      {isOpen && <div className="choices">{children}</div>}
    </details>
  );
}
