import type { ComponentProps } from "react";

/** A button that sends no form unless its `type` says so. Its looks are the classes `primary`, `outlined`, `quiet` and `danger` of `head.css` and `base.css`. */
export function Button(props: ComponentProps<"button">) {
  return <button type="button" {...props} />;
}
