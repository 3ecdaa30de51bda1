// Markdown to a tree of plain nodes. The tree is all that is shown: no text ever becomes markup, HTML in the
// source stays text, pictures become links, and links lead only to http, https and mailto.
import MarkdownIt from 'markdown-it';
import cjkFriendly from 'markdown-it-cjk-friendly';

export type Block = keyof typeof blocks | 'root';
export interface Node {
  kind:
    | 'root' | 'text' | 'paragraph' | 'heading' | 'list' | 'item' | 'quote' | 'table' | 'head' | 'body' | 'row' | 'cell'
    | 'title-cell' | 'strong' | 'emphasis' | 'struck' | 'link' | 'code' | 'code-block' | 'break' | 'rule';
  text?: string;
  level?: number; // of a heading, as written
  depth?: number; // of a heading among those before it: 1 for the first, and never a step of two
  ordered?: boolean;
  start?: number;
  align?: 'left' | 'center' | 'right';
  href?: string;
  language?: string;
  children: Node[];
}

const blocks = {
  paragraph: 'paragraph', heading: 'heading', bullet_list: 'list', ordered_list: 'list', list_item: 'item',
  blockquote: 'quote', table: 'table', thead: 'head', tbody: 'body', tr: 'row', th: 'title-cell', td: 'cell',
  strong: 'strong', em: 'emphasis', s: 'struck', link: 'link',
} as const;

// Deeper than this, quotes and lists stay text; a page of a million '>' must not fill the stack.
const nestingMax = 40;

const parser = new MarkdownIt({ html: false, linkify: true, breaks: true, maxNesting: nestingMax }).use(cjkFriendly);
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

// The address where it may be followed, else nothing.
export function safeHref(href: string): string | undefined {
  let address: URL;
  try {
    address = new URL(href);
  } catch {
    return undefined; // relative: of this server, which a model has no business to link to
  }
  return ['http:', 'https:', 'mailto:'].includes(address.protocol) ? address.href : undefined;
}

interface Token {
  type: string;
  tag: string;
  nesting: -1 | 0 | 1;
  content: string;
  info: string;
  hidden: boolean;
  children: Token[] | null;
  attrGet(name: string): string | null;
}

function opened(token: Token): Node {
  const name = token.type.replace(/_open$/, '') as keyof typeof blocks;
  const node: Node = { kind: blocks[name] ?? 'paragraph', children: [] };
  if (name === 'heading') node.level = Number(token.tag.slice(1));
  if (name === 'ordered_list') {
    node.ordered = true;
    node.start = Number(token.attrGet('start') ?? 1);
  }
  if (name === 'link') {
    const href = safeHref(token.attrGet('href') ?? '');
    if (href !== undefined) node.href = href;
  }
  if (name === 'th' || name === 'td') {
    const align = /text-align:(left|center|right)/.exec(token.attrGet('style') ?? '')?.[1];
    if (align) node.align = align as 'left' | 'center' | 'right';
  }
  return node;
}

function leaf(token: Token): Node[] {
  switch (token.type) {
    case 'code_inline':
      return [{ kind: 'code', text: token.content, children: [] }];
    case 'fence':
    case 'code_block': {
      const language = token.info.trim().split(/\s+/)[0] ?? '';
      return [{ kind: 'code-block', text: token.content.replace(/\n$/, ''), language, children: [] }];
    }
    case 'hardbreak':
    case 'softbreak':
      return [{ kind: 'break', children: [] }];
    case 'hr':
      return [{ kind: 'rule', children: [] }];
    case 'image': {
      const href = safeHref(token.attrGet('src') ?? '');
      const node: Node = { kind: 'link', children: [{ kind: 'text', text: token.content || (href ?? ''), children: [] }] };
      if (href !== undefined) node.href = href;
      return [node];
    }
    case 'inline':
      return build(token.children ?? []).children;
    default:
      return token.content ? [{ kind: 'text', text: token.content, children: [] }] : [];
  }
}

function build(tokens: readonly Token[]): Node {
  const root: Node = { kind: 'root', children: [] };
  const open: Node[] = [root];
  for (const token of tokens) {
    const top = open[open.length - 1] ?? root;
    if (token.nesting === 1) {
      const node = opened(token);
      // Paragraphs of a tight list are not drawn as such.
      if (token.hidden) {
        open.push(top);
      } else {
        top.children.push(node);
        open.push(node);
      }
    } else if (token.nesting === -1) {
      if (open.length > 1) open.pop();
    } else {
      top.children.push(...leaf(token));
    }
  }
  return root;
}

// Writers skip levels; an outline that is read aloud must not.
function nestHeadings(node: Node, above: number[]): void {
  if (node.kind === 'heading') {
    const level = node.level ?? 1;
    while ((above.at(-1) ?? 0) >= level) above.pop();
    above.push(level);
    node.depth = above.length;
  }
  for (const child of node.children) nestHeadings(child, above);
}

export function parseMarkdown(source: string): Node {
  const tree = build(parser.parse(source, {}) as unknown as Token[]);
  nestHeadings(tree, []);
  return tree;
}
