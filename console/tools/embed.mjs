// The files of the page as C++ constants for src/server/console_files.h.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

const CONTENT_TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

// A string literal of any bytes: octal escapes of three digits, which no following digit can lengthen.
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 80) {
    let line = '';
    for (const byte of bytes.subarray(at, at + 80)) {
      const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
      line += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
    }
    lines.push(`    "${line}"`);
  }
  return lines.length > 0 ? lines.join('\n') : '    ""';
}

function constant(file, index) {
  const type = CONTENT_TYPES[file.type];
  if (type === undefined) throw new Error(`${file.path}: no content type is known for '${file.type}'`);
  const gzip = gzipSync(file.bytes, { level: 9 });
  gzip[9] = 255; // the operating system, unknown: the same bytes from every Node.js
  const etag = createHash('sha256').update(file.bytes).digest('hex').slice(0, 32);
  const texts =
    `constexpr char kPlain${index}[] =\n${literal(file.bytes)};\n` +
    `constexpr char kGzip${index}[] =\n${literal(gzip)};\n`;
  const row =
    `    {"${file.path}", "${type}", "\\"${etag}\\"", {kPlain${index}, sizeof kPlain${index} - 1},\n` +
    `     {kGzip${index}, sizeof kGzip${index} - 1}, ${file.path.startsWith('/assets/')}},\n`;
  return { texts, row };
}

export function embed(files) {
  const constants = files.map(constant);
  return (
    '// Made by console/tools/build.mjs.\n#include "console_files.h"\n\n' +
    'namespace tatara::server {\nnamespace {\n\n' +
    constants.map((each) => each.texts).join('') +
    '\nconstexpr ConsoleFile kFiles[] = {\n' +
    constants.map((each) => each.row).join('') +
    '};\n\n}  // namespace\n\n' +
    'std::span<const ConsoleFile> ConsoleFiles() {\n  return kFiles;\n}\n\n}  // namespace tatara::server\n'
  );
}
