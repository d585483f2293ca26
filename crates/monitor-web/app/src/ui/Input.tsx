import type { ComponentProps } from "react";

/** A field or a check box. What is typed here are names and rules, so that browsers don't correct or suggest them. */
export function Input(props: ComponentProps<"input">) {
  return <input spellCheck={false} autoComplete="off" {...props} />;
}
