import type { FC } from "react";

import { DeskPage } from "./DeskPage";
import { Strip } from "./Strip";

// Airflow looks each app up by its name in `mounted.py`. It loads a bundle once, whichever is shown first.
const apps: Record<string, FC> = { Desk: DeskPage, "Desk today": Strip };
Object.assign(globalThis, apps);
