import { Badge, Link, List } from "@chakra-ui/react";
import { Link as RouterLink } from "react-router-dom";

import type { Need } from "./needs";

const SHOWN = 50;

/** What needs a person, with the way to where it is decided. */
export const Needs = ({ found }: { found: readonly Need[] }) => (
  <List.Root gap={2} variant="plain">
    {found.slice(0, SHOWN).map((need) => (
      <List.Item key={need.key} overflowWrap="anywhere">
        <Badge colorPalette={need.what === "decision" ? "blue" : "red"} me={2} variant="surface">
          {need.what}
        </Badge>
        {need.to === undefined ? (
          need.text
        ) : (
          <Link asChild textDecoration="underline">
            <RouterLink to={need.to}>{need.text}</RouterLink>
          </Link>
        )}
      </List.Item>
    ))}
    {found.length > SHOWN ? <List.Item>and {found.length - SHOWN} more</List.Item> : undefined}
    {found.length === 0 ? <List.Item>Nothing.</List.Item> : undefined}
  </List.Root>
);
