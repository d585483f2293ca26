import { useCallback, useRef, useState } from "react";
import { visibleLines } from "../model/text.ts";
import { announce } from "./announce.ts";
import { problemText } from "./Problem.tsx";

/** Returns a function that performs the action of a button, and the text of its result. */
export function useDeed(onDone?: () => void): [said: Outcome | undefined, act: (deed: () => Promise<string | void>) => void] {
  const [said, setSaid] = useState<Outcome>();
  const tell = (text: string, isBad: boolean) => {
    setSaid({ text, isBad });
    announce("deed", text);
  };
  const done = useRef(onDone);
  done.current = onDone;
  // Always the same function, so that rows that have it are not drawn again.
  const act = useCallback((deed: () => Promise<string | void>) => {
    void deed().then(
      (text) => {
        if (text) tell(text, false);
        else setSaid(undefined);
        done.current?.();
      },
      (error: unknown) => tell(problemText(error), true),
    );
  }, []);
  return [said, act];
}

interface Outcome {
  text: string;
  isBad: boolean;
}

/** Result of the last action. */
export function DeedSaid({ said }: { said: Outcome | undefined }) {
  return said === undefined ? null : <p className={said.isBad ? "said bad" : "said dim"}>{visibleLines(said.text)}</p>;
}
