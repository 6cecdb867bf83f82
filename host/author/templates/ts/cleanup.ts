// Which versions may go? Keeps the newest and those in use; of the others, the old ones may go.

import type { Cleanup, Fate, Recommendation } from "trimtab:policy/cleanup@0.1.0";
import { count, duration } from "trimtab:policy/settings@0.1.0";

export const cleanup: Cleanup = {
  // One recommendation for every version; the newest come first.
  review(inventory) {
    const keep = count("keep");
    const minAge = duration("min-age");
    return inventory.versions.map(({ version, protections, stage, age }, number) => {
      const recommend = (fate: Fate, reason: string): Recommendation => ({ version, fate, reason });
      if (protections.length > 0 || stage === "production") return recommend("keep", "It is in use.");
      if (number < keep) return recommend("keep", "It is among the newest.");
      if (age < minAge) return recommend("keep", "It is young.");
      return recommend("delete", "It is old and not in use.");
    });
  },
};
