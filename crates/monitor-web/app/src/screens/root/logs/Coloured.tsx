import { pieces, styleOf } from "../../../model/ansi.ts";

/** Text of a terminal in its colours; `format` makes each piece displayable. */
export function Coloured({ text, format }: { text: string; format: (text: string) => string }) {
  return pieces(text).map(({ text: piece, look }, index) => {
    const style = styleOf(look);
    return style ? (
      <span key={index} style={style}>
        {format(piece)}
      </span>
    ) : (
      format(piece)
    );
  });
}
