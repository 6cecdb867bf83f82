// Which versions may go? Keeps the newest and those in use; of the others, the old ones may go.

import { count, duration } from "trimtab:policy/settings@0.1.0";

/** @typedef {import("trimtab:policy/cleanup@0.1.0").Fate} Fate */

/** @type {import("trimtab:policy/cleanup@0.1.0").Cleanup} */
export const cleanup = {
  // One recommendation for every version; the newest come first.
  review(inventory) {
    const keep = count("keep");
    const minAge = duration("min-age");
    return inventory.versions.map(({ version, protections, stage, age }, number) => {
      /** @param {Fate} fate @param {string} reason */
      const recommend = (fate, reason) => ({ version, fate, reason });
      if (protections.length > 0 || stage === "production") return recommend("keep", "It is in use.");
      if (number < keep) return recommend("keep", "It is among the newest.");
      if (age < minAge) return recommend("keep", "It is young.");
      return recommend("delete", "It is old and not in use.");
    });
  },
};
