import { expect, test } from "vitest";
import { editorLink } from "./editor.ts";

const link = "vscode://file{path}:{line}";

test("a place is opened below the folder of the sources, or where it says itself", () => {
  expect(editorLink({ link, folder: "/home/me/app/" }, { file: "src/db.rs", line: 88 })).toBe("vscode://file/home/me/app/src/db.rs:88");
  expect(editorLink({ link, folder: "" }, { file: "/build/src/db.rs", line: 8 })).toBe("vscode://file/build/src/db.rs:8");
  expect(editorLink({ link, folder: "/a" }, { file: "a b/%?#.rs", line: 1 })).toBe("vscode://file/a/a%20b/%25%3F%23.rs:1");
});

test("without an editor or a folder there is no link, and none that runs in the page", () => {
  expect(editorLink({ link: "", folder: "/a" }, { file: "x.rs", line: 1 })).toBeUndefined();
  expect(editorLink({ link, folder: "" }, { file: "x.rs", line: 1 })).toBeUndefined();
  expect(editorLink({ link: "JavaScript:alert({line})", folder: "/a" }, { file: "x.rs", line: 1 })).toBeUndefined();
  expect(editorLink({ link: "data:text/html,{path}", folder: "/a" }, { file: "x.rs", line: 1 })).toBeUndefined();
});
