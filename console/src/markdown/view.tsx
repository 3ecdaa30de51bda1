import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { CodeBlock } from './code_block.tsx';
import { parseMarkdown, type Node } from './tree.ts';

interface Wish {
  settled: boolean; // not growing any more: code may be coloured
}

function children(node: Node, wish: Wish): ComponentChildren {
  return node.children.map((child, index) => <View key={index} node={child} wish={wish} />);
}

function View({ node, wish }: { node: Node; wish: Wish }) {
  const align = node.align ? `align-${node.align}` : undefined;
  switch (node.kind) {
    case 'root':
      return <>{children(node, wish)}</>;
    case 'text':
      return <>{node.text}</>;
    case 'paragraph':
      return <p>{children(node, wish)}</p>;
    case 'heading': {
      // The first two levels are the page's own.
      const Tag = `h${Math.min(6, (node.depth ?? 1) + 2)}` as 'h3';
      return <Tag class={`md-h${node.level ?? 1}`}>{children(node, wish)}</Tag>;
    }
    case 'list':
      return node.ordered ? <ol start={node.start}>{children(node, wish)}</ol> : <ul>{children(node, wish)}</ul>;
    case 'item':
      return <li>{children(node, wish)}</li>;
    case 'quote':
      return <blockquote>{children(node, wish)}</blockquote>;
    case 'table':
      return (
        <div class="table-scroll" tabIndex={0}>
          <table>{children(node, wish)}</table>
        </div>
      );
    case 'head':
      return <thead>{children(node, wish)}</thead>;
    case 'body':
      return <tbody>{children(node, wish)}</tbody>;
    case 'row':
      return <tr>{children(node, wish)}</tr>;
    case 'title-cell':
      return <th class={align} scope="col">{children(node, wish)}</th>;
    case 'cell':
      return <td class={align}>{children(node, wish)}</td>;
    case 'strong':
      return <strong>{children(node, wish)}</strong>;
    case 'emphasis':
      return <em>{children(node, wish)}</em>;
    case 'struck':
      return <s>{children(node, wish)}</s>;
    case 'link':
      if (node.href === undefined) return <span>{children(node, wish)}</span>;
      return (
        <a href={node.href} target="_blank" rel="noopener noreferrer nofollow">
          {children(node, wish)}
        </a>
      );
    case 'code':
      return <code>{node.text}</code>;
    case 'code-block':
      return <CodeBlock code={node.text ?? ''} language={node.language ?? ''} settled={wish.settled} />;
    case 'break':
      return <br />;
    case 'rule':
      return <hr />;
  }
}

export function Markdown({ source, settled }: { source: string; settled: boolean }) {
  const tree = useMemo(() => parseMarkdown(source), [source]);
  return (
    <div class="markdown">
      <View node={tree} wish={{ settled }} />
    </div>
  );
}
