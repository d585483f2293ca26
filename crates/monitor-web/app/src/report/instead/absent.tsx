/** Replaces components that need a server: actions on a run, and comparisons with other runs. */

function absent(): null {
  return null;
}

export { absent as AnyOther, absent as CancelProcess, absent as Doctor, absent as History, absent as RootMenu };
