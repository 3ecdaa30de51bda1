// Line icons of 20 x 20; beside a text or a label, never alone in meaning.
const paths = {
  plus: 'M10 4v12M4 10h12',
  menu: 'M3 6h14M3 10h14M3 14h14',
  close: 'M5 5l10 10M15 5L5 15',
  search: 'M9 15a6 6 0 1 0 0-12 6 6 0 0 0 0 12zM13.500 13.500L17 17',
  send: 'M10 16V4M5 9l5-5 5 5',
  stop: 'M6 6h8v8H6z',
  copy: 'M7 7h9v9H7zM13 7V4H4v9h3',
  check: 'M4 10.500l4 4 8-9',
  edit: 'M4 16l.8-3.600L13.200 4l2.800 2.800-8.400 8.400z',
  retry: 'M16 10a6 6 0 1 1-1.900-4.400M16 3v3.500h-3.500',
  receipt: 'M5 3h10v14l-2.500-1.500L10 17l-2.500-1.500L5 17zM8 7h4M8 10.500h4',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  down: 'M5 8l5 5 5-5',
  more: 'M5.200 10a.7.7 0 1 1-1.400 0 .7.7 0 1 1 1.400 0zM10.700 10a.7.7 0 1 1-1.400 0 .7.7 0 1 1 1.400 0zM16.200 10a.7.7 0 1 1-1.400 0 .7.7 0 1 1 1.400 0z',
  tune: 'M4 6h6M14 6h2M12 4v4M4 14h2M10 14h6M8 12v4',
  settings:
    'M10 12.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM10 2.500v2M10 15.500v2M2.500 10h2M15.500 10h2M4.700 4.700l1.400 1.400M13.900 13.900l1.400 1.400M4.700 15.300l1.400-1.400M13.900 6.100l1.400-1.400',
  document: 'M5 2.500h7l3.500 3.500v11.500H5zM12 2.500V6h3.500M7.500 10h5M7.500 13.500h5',
  chat: 'M3 5h14v9H9l-4 3v-3H3z',
  download: 'M10 3v9M6 8.500l4 4 4-4M4 16.500h12',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.600L14 6',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={paths[name]} fill="none" stroke="currentColor" stroke-width="1.600" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
