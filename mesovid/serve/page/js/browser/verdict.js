// From the scores of single faces to the answer for a clip: `mesovid.verdict` in JavaScript. A
// score is {index, time, person, fake_probability, members, detail, box}; a rule is that of a card.

import { side } from "./people.js";

const MIN_RUN = 2;
const LIKE_THE_LARGEST = 2 / 3;
const LEAST_DETAIL = 0.15;

/** How a card's scores become a verdict; `own` is a threshold of the user's, or null. */
export function ruleOf(card, { threshold = null, aggregate = "mean", min_faces = 3 }, picture) {
  const free = threshold === null;
  return {
    threshold: free ? card.threshold : threshold,
    band: free ? card.uncertain || null : null,
    aggregate,
    minFaces: picture ? 1 : min_faces,
    smallestFace: free ? card.smallest_face : null,
    leastDetail: free ? LEAST_DETAIL : null,
    members: (card.members || []).map((member) => ({
      name: member.name,
      decides: member.decides,
      assentsFrom: free ? member.assents_from : null,
      assentsTo: member.assents_to || [],
      sureFrom: member.sure_from ?? null,
      finds: member.finds,
      clearsBelow: free ? (member.clears_below ?? null) : null,
    })),
    finds: card.finds || "",
    clearsBelow: free ? (card.clears_below ?? null) : null,
  };
}

/** The verdict on scores, and what it rests on. */
export function judge(scores, rule) {
  const all = people(scores, rule);
  const runs = segments(sharp(scores, rule), rule);
  const none = (status, reason) => ({
    verdict: null,
    fake_probability: null,
    status,
    reason,
    cleared: [],
  });
  const found = !scores.length
    ? none("no_face", "No face was found in the frames that were looked at.")
    : scores.length < rule.minFaces
      ? none(
          "too_few_faces",
          `Only ${count(scores.length, "face")} found; a verdict needs ${rule.minFaces}.`,
        )
      : verdictOf(scores, all, runs, rule);
  return { ...found, people: all, segments: runs };
}

function verdictOf(scores, all, runs, rule) {
  const judged = all.filter((person) => person.faces >= rule.minFaces);
  const looks = new Map([...byPerson(scores)].map(([id, faces]) => [id, lookOf(faces)]));
  const [rivals, others] = byLook(judged, looks, rule);
  let [probability, look, members, who, rest] = [
    0,
    lookOf(scores),
    membersOf(scores, rule),
    "",
    "",
  ];
  if (rivals.length) {
    const chosen = worstOf(rivals);
    probability = chosen.fake_probability;
    look = looks.get(chosen.id) || look;
    members = chosen.members;
    who = `the ${count(chosen.faces, "face")}${all.length > 1 ? ` of person ${chosen.id}` : ""}`;
    if (rivals.length > 1) rest = `, the most suspicious of ${rivals.length} people,`;
  } else {
    probability = aggregate(
      scores.map((each) => each.fake_probability),
      rule.aggregate,
    );
    who = `${scores.length} faces that could not be followed from frame to frame`;
  }
  let [label, where] = labelOf(probability, rule, members);
  if (isSmall(look, rule)) {
    [label, where] = [
      "uncertain",
      `but of ${look.size.toFixed(0)} px they are smaller than the ` +
        `${rule.smallestFace.toFixed(0)} px that this model can judge`,
    ];
  } else if (isBlurred(look, rule)) {
    [label, where] = ["uncertain", "but they are too blurred for this model to judge"];
  } else if (label === "real") {
    const [moved, beside] = besideOf(rivals, others, looks, rule);
    [label, where] = [moved, where + beside];
  }
  const how =
    { mean: "on average", median: "in the median" }[rule.aggregate] || `by ${rule.aggregate}`;
  let reason = `${who}${rest} scored P(fake) ${probability.toFixed(2)} ${how}, ${where}.`;
  // a swap that lasts a moment hardly moves the mean
  const open = label !== "fake" && !runs.length;
  const cleared = open ? clearedAmong(rivals, others, looks, rule) : [];
  if (cleared.length && label === "uncertain") {
    reason += ` No sign of ${cleared.join(" or ")}: such faces seldom score so low.`;
  }
  return {
    verdict: label,
    fake_probability: probability,
    status: "ok",
    reason: reason[0].toUpperCase() + reason.slice(1) + spoke(members, rule),
    cleared,
  };
}

/** What there is no sign of in anybody who can be judged, nor in those who cannot. */
function clearedAmong(rivals, others, looks, rule) {
  const unclear = (person) =>
    isSmall(looks.get(person.id), rule) || isBlurred(looks.get(person.id), rule);
  if (!rivals.length || rivals.some(unclear)) return [];
  const seen = [...rivals, ...before(rivals, others, looks, rule)];
  const found = seen.map((person) => clearedOf(person, rule));
  return found[0].filter((what) => found.every((each) => each.includes(what)));
}

function clearedOf(person, rule) {
  const below = (value, level) => level !== null && value < level;
  if (!rule.members.length) {
    return below(person.fake_probability, rule.clearsBelow) ? [rule.finds] : [];
  }
  return rule.members
    .filter(({ clearsBelow }, i) => below(person.members[i], clearsBelow))
    .map(({ finds }) => finds);
}

const worstOf = (list) => list.reduce((a, b) => (b.fake_probability > a.fake_probability ? b : a));

function spoke(members, rule) {
  if (!members.length) return "";
  const said = rule.members.map((voice, i) => ({ ...voice, value: members[i] }));
  const text = (list) => list.map(({ name, value }) => `${name} ${value.toFixed(2)}`).join(", ");
  const deciding = said.filter((each) => each.decides);
  const rest = text(said.filter((each) => !each.decides));
  const heard = loudest(deciding);
  if (deciding.length === 1) {
    const gives = said
      .filter((each) => !each.decides)
      .map(({ name, value }) => `; ${name} gives ${value.toFixed(2)}`);
    return ` The score is ${heard.name}'s${gives.join("")}.`;
  }
  return (
    ` Of its models ${heard.name} was heard, the most suspicious (${text(deciding)}` +
    `${rest && `; beside it ${rest}`}).`
  );
}

function dissentOf(members, rule) {
  const said = rule.members.slice(0, members.length).map((voice, i) => ({
    ...voice,
    value: members[i],
  }));
  const deciding = said.filter((each) => each.decides);
  if (!deciding.length) return null;
  const alone = deciding.filter((each) => each.value >= rule.threshold);
  const finding = alone.length ? alone : [loudest(deciding)];
  const objections = finding.map((each) =>
    each.sureFrom !== null && each.value >= each.sureFrom ? null : objectionTo(each.name, said),
  );
  return objections.every(Boolean) ? objections[0] : null;
}

function objectionTo(finding, said) {
  const voice = said.find(
    ({ assentsFrom, assentsTo, value }) =>
      assentsFrom !== null &&
      (!assentsTo.length || assentsTo.includes(finding)) &&
      value < assentsFrom,
  );
  if (!voice) return null;
  const [value, from] = [voice.value.toFixed(2), voice.assentsFrom.toFixed(2)];
  return `but ${voice.name} with ${value} does not agree, as it would from ${from} on`;
}

const loudest = (voices) =>
  voices.reduce((a, b) => (b.value > a.value || (b.value === a.value && b.name > a.name) ? b : a));

function membersOf(faces, rule) {
  return (faces[0].members || []).map((_, i) =>
    aggregate(
      faces.map((each) => each.members[i]),
      rule.aggregate,
    ),
  );
}

function lookOf(faces) {
  const details = faces.map((each) => each.detail).filter((each) => each !== null);
  return {
    size: median(faces.map((each) => side(each.box))),
    detail: details.length ? median(details) : null,
  };
}

const isSmall = (look, rule) =>
  rule.smallestFace !== null && rule.smallestFace !== undefined && look.size < rule.smallestFace;
const isBlurred = (look, rule) =>
  look.detail !== null && rule.leastDetail !== null && look.detail < rule.leastDetail;

/** Those who decide, and the rest: whose faces are too small or too blurred. */
function byLook(judged, looks, rule) {
  const clear = judged.filter((person) => !isBlurred(looks.get(person.id), rule));
  const seen = clear.length ? clear : judged;
  let deciding = seen.filter((person) => !isSmall(looks.get(person.id), rule));
  if (!deciding.length) {
    const largest = Math.max(0, ...seen.map((person) => looks.get(person.id).size));
    deciding = seen.filter((person) => looks.get(person.id).size >= LIKE_THE_LARGEST * largest);
  }
  return [deciding, judged.filter((person) => !deciding.includes(person))];
}

/** What those who cannot be judged make of a clip that is real otherwise, and why. */
function besideOf(rivals, others, looks, rule) {
  const faked = others.filter((person) => labelOf(person.fake_probability, rule)[0] === "fake");
  if (!faked.length) return ["real", ""];
  const suspects = before(rivals, faked, looks, rule);
  const worst = worstOf(suspects.length ? suspects : faked);
  const look = looks.get(worst.id);
  const fault = isBlurred(look, rule)
    ? "are too blurred"
    : `of ${look.size.toFixed(0)} px are too small`;
  const said = `person ${worst.id}, whose faces ${fault} for this model, scored ${worst.fake_probability.toFixed(2)}`;
  return suspects.length
    ? ["uncertain", `, but ${said}`]
    : ["real", `; ${said}, which does not count`];
}

/** The others without those who stand blurred behind the ones who decide. */
function before(rivals, others, looks, rule) {
  const front = LIKE_THE_LARGEST * Math.max(...rivals.map((person) => looks.get(person.id).size));
  return others.filter((person) => {
    const look = looks.get(person.id);
    return !isBlurred(look, rule) || look.size >= front;
  });
}

function sharp(scores, rule) {
  return [...byPerson(scores).values()].filter((faces) => !isBlurred(lookOf(faces), rule)).flat();
}

/** The label of a probability, and in words where it lies; `members` are those of a panel. */
export function labelOf(probability, rule, members = []) {
  const { threshold, band } = rule;
  if (band && probability >= band[0] && probability <= band[1]) {
    const [low, high] = band.map((value) => value.toFixed(2));
    return ["uncertain", `between ${low} and ${high}, where this model cannot tell`];
  }
  if (probability >= threshold) {
    const where = `at or above the threshold of ${threshold.toFixed(2)}`;
    const dissent = dissentOf(members, rule);
    return dissent ? ["uncertain", `${where}, ${dissent}`] : ["fake", where];
  }
  if (band && probability < band[0]) {
    return ["real", `below ${band[0].toFixed(2)}, from where on this model cannot tell`];
  }
  return ["real", `below the threshold of ${threshold.toFixed(2)}`];
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const sorted = (values) => [...values].sort((a, b) => a - b);
function median(values) {
  const list = sorted(values);
  const half = list.length >> 1;
  return list.length % 2 ? list[half] : (list[half - 1] + list[half]) / 2;
}
const AGGREGATES = {
  mean,
  median,
  trimmed_mean: (values) => {
    const cut = Math.floor(values.length / 10);
    return mean(sorted(values).slice(cut, values.length - cut));
  },
  top_third: (values) => mean(sorted(values).slice(-Math.ceil(values.length / 3))),
  max: (values) => Math.max(...values),
};

/** One number for a person's scores, within their range. */
export function aggregate(values, name) {
  const found = AGGREGATES[name](values);
  return Math.max(Math.min(...values), Math.min(Math.max(...values), found));
}

function people(scores, rule) {
  return [...byPerson(scores)].map(([id, faces]) => ({
    id,
    faces: faces.length,
    fake_probability: aggregate(
      faces.map((each) => each.fake_probability),
      rule.aggregate,
    ),
    first_time: faces[0].time,
    last_time: faces[faces.length - 1].time,
    members: membersOf(faces, rule),
  }));
}

/** Runs of successive samples of one person at or above the threshold, worst first. */
function segments(scores, rule) {
  const found = [];
  for (const [person, faces] of byPerson(scores)) {
    let run = [];
    const end = () => {
      if (run.length >= MIN_RUN) {
        found.push({
          start: run[0].time,
          end: run[run.length - 1].time,
          person,
          fake_probability: aggregate(
            run.map((each) => each.fake_probability),
            "mean",
          ),
        });
      }
      run = [];
    };
    for (const face of faces) {
      if (face.fake_probability >= rule.threshold) run.push(face);
      else end();
    }
    end();
  }
  return found.sort((a, b) => b.fake_probability - a.fake_probability || a.start - b.start);
}

/** Each person's scores in order of time; people by number. */
function byPerson(scores) {
  const found = new Map();
  for (const score of [...scores].sort((a, b) => a.person - b.person || a.index - b.index)) {
    if (!found.has(score.person)) found.set(score.person, []);
    found.get(score.person).push(score);
  }
  return found;
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
