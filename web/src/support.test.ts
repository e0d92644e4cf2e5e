// The script for browsers that are too old contains no syntax that these cannot read.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { transformWithEsbuild } from "vite";

const file = `${import.meta.dirname}/../public/support.js`;

async function isOld(code: string): Promise<boolean> {
  const written = async (target: string) => (await transformWithEsbuild(code, "support.js", { target })).code;
  try {
    return (await written("es5")) === (await written("esnext"));
  } catch {
    return false; // there is no older form of this syntax
  }
}

test("the script for old browsers has only old syntax", async () => {
  assert.ok(await isOld(readFileSync(file, "utf8")));
});

for (const modern of ["(() => 1)();", "let a = 1;", "a?.b();", "f(`text`);", "class A {}"])
  test(`${modern} is noticed as newer`, async () => {
    assert.ok(!(await isOld(modern)));
  });
