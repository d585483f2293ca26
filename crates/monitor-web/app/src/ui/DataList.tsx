import type { ReactNode, Ref } from "react";

export interface Column {
  /** Class of the column's cells. */
  key: string;
  text: string;
  /** True for a column of marks or actions, whose head is only read aloud. */
  isMute?: boolean;
}

interface Props {
  columns?: readonly Column[];
  label?: string;
  className?: string;
  ref?: Ref<HTMLTableElement>;
  /** Heads of columns with controls, before the others. */
  heads?: ReactNode;
  /** The rows. */
  children: ReactNode;
}

/** A table of a section. */
export function DataList({ columns = [], label, className, ref, heads, children }: Props) {
  return (
    <table ref={ref} className={className} aria-label={label}>
      <thead>
        <tr>
          {heads}
          {columns.map(({ key, text, isMute = false }) => (
            <th key={key} scope="col" className={key}>
              {isMute ? <span className="hidden">{text}</span> : text}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}
