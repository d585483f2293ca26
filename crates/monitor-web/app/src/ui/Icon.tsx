/** An icon, drawn as strokes in a square of 16, in the colour of the text. */
export function Icon({ d }: { d: string }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}

/** Icons that are used in several places. */
export const ICONS = {
  search: "M7 2.8a4.2 4.2 0 1 1 0 8.4a4.2 4.2 0 0 1 0-8.4M10.2 10.2l3.3 3.3",
  open: "M4.5 6.5l3.5 3.5l3.5-3.5",
  closed: "M6.5 4.5l3.5 3.5l-3.5 3.5",
  back: "M9.5 3.5l-4.5 4.5l4.5 4.5",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3.5 8.5l3 3l6-6.5",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  to: "M3 8h9.5M9 4.5l3.5 3.5l-3.5 3.5",
  up: "M8 13V3.5M4.5 7l3.5-3.5l3.5 3.5",
  down: "M8 3v9.5M4.5 9l3.5 3.5l3.5-3.5",
  from: "M12.5 12.5l-8.5-8.5M4 9v-5h5",
  elsewhere: "M3.5 3.5l8.5 8.5M12 7v5h-5",
  warning: "M8 2.5l6 10.5h-12zM8 6.5v3M8 11.3v.01",
  cut: "M4 3l1.5 2.5l-2 2.5l2 2.5l-1.5 2.5M12 3l-1.5 2.5l2 2.5l-2 2.5l1.5 2.5",
  copy: "M5 10.5h-2.5v-8h8v2.5M5.5 5.5h8v8h-8z",
} as const;
