// The JavaScript of this project: scripts and tests, all of it ES modules for Node.

import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['build/', 'node_modules/', 'target/', '.wrangler/'] },
  js.configs.recommended,
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: { ecmaVersion: 'latest', sourceType: 'module', globals: globals.node },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'object-shorthand': 'error',
      'no-implicit-coercion': 'error',
      'no-promise-executor-return': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
  },
  {
    // Between these stands what worker-build made, and what is exported: `scripts/build.mjs`.
    files: ['worker/entry.js'],
    languageOptions: { globals: { ...globals.serviceworker, glue: 'readonly' } },
    rules: { 'no-unused-vars': ['error', { varsIgnorePattern: '^derive$' }] },
  },
];
