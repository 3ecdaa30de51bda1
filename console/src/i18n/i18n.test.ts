import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill, languageFor, tables, type Key } from './index.ts';

const keys = (language: 'en' | 'ja') => Object.keys(tables[language]).sort();
const fields = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

test('both languages have the same keys', () => {
  assert.deepEqual(keys('ja'), keys('en'));
});

test('a text has the same fields in both languages, and none is empty', () => {
  for (const key of keys('en') as Key[]) {
    assert.deepEqual(fields(tables.ja[key]), fields(tables.en[key]), key);
    assert.notEqual(tables.ja[key].trim(), '', key);
    assert.notEqual(tables.en[key].trim(), '', key);
  }
});

test('the first language of the browser that there is a table for is taken', () => {
  assert.equal(languageFor(['fr-FR', 'ja-JP', 'en']), 'ja');
  assert.equal(languageFor(['EN-gb', 'ja']), 'en');
  assert.equal(languageFor(['de']), 'en');
  assert.equal(languageFor([]), 'en');
});

test('fields are filled once and what is filled in is not read again', () => {
  assert.equal(fill('{a} and {b}, {c}', { a: '{b}', b: 2 }), '{b} and 2, {c}');
});
