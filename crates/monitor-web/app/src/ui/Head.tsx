import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Icon, ICONS } from "./Icon.tsx";
import "./head.css";

/** The head of a section: its title, its tabs and, at the right, its filter and actions. */
export function Head({ title, tabs, children }: { title: string; tabs?: ReactNode; children?: ReactNode }) {
  return (
    <header className="head-bar">
      <h1>{title}</h1>
      {tabs}
      <div className="tools">{children}</div>
    </header>
  );
}

interface ItemProps {
  /** Address and name of the list that the item belongs to. */
  back: { to: string; search?: Readonly<Record<string, string>>; label: string };
  mark?: ReactNode;
  title: ReactNode;
  /** Facts in a few words, separated by dots. */
  facts?: readonly ReactNode[];
  /** Actions; the main one is last. */
  children?: ReactNode;
}

/** The head of one item: the way back, its state, name and facts, and at the right its actions. */
export function ItemHead({ back, mark, title, facts = [], children }: ItemProps) {
  return (
    <header className="head-bar">
      <Link to={back.to} search={back.search ?? {}} className="back" aria-label={back.label} title={back.label}>
        <Icon d={ICONS.back} />
      </Link>
      {mark}
      <h1>{title}</h1>
      <p className="dim">
        {facts.filter((fact) => fact !== "").map((fact, index) => (
          <span key={index}>
            {index > 0 && " · "}
            {fact}
          </span>
        ))}
      </p>
      <div className="tools">{children}</div>
    </header>
  );
}
