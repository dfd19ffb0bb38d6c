import { builtinModules } from 'node:module';
import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const bareBuiltins = builtinModules
  .filter((name) => !name.startsWith('node:'))
  .map((name) => ({ name, message: `Write 'node:${name}': a built-in should look like one.` }));

const processBelongsToCli = 'Only src/cli and bin know the process: pass in what you need.';

const readonlyGlobals = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

/** Every export of src carries a doc comment: one sentence on what it promises. */
const documentedExports = {
  meta: { type: 'suggestion', messages: { missing: 'An export needs a TSDoc comment.' } },
  create(context) {
    const isDocumented = (node) =>
      context.sourceCode
        .getCommentsBefore(node)
        .some((comment) => comment.type === 'Block' && comment.value.startsWith('*'));
    const check = (node) => {
      if (node.declaration !== null && !isDocumented(node)) {
        context.report({ node, messageId: 'missing' });
      }
    };
    return { ExportNamedDeclaration: check };
  },
};

export default defineConfig(
  {
    ignores: ['**/dist/', '**/coverage/', '**/target/', '**/.venv/', '**/node_modules/', '.cache/'],
  },
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
  },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ['*.config.ts'] } },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // `async` also promises that a failure arrives as a rejection, never as a throw.
      '@typescript-eslint/require-await': 'off',
      'no-restricted-imports': ['error', { paths: bareBuiltins }],
      curly: ['error', 'multi-line'],
      eqeqeq: 'error',
      'object-shorthand': 'error',
      'prefer-template': 'error',
    },
  },
  {
    name: 'src',
    files: ['src/**/*.ts'],
    plugins: { unsticky: { rules: { 'documented-exports': documentedExports } } },
    rules: {
      'unsticky/documented-exports': 'error',
      'max-depth': ['error', 3],
      'max-params': ['error', 4],
      'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      'no-warning-comments': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'One name per thing: export it by name.' },
      ],
    },
  },
  {
    name: 'src without the command line',
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**'],
    rules: {
      'no-restricted-globals': ['error', { name: 'process', message: processBelongsToCli }],
      'no-restricted-imports': [
        'error',
        { paths: [...bareBuiltins, { name: 'node:process', message: processBelongsToCli }] },
      ],
    },
  },
  {
    name: 'tests',
    files: ['test/**/*.ts'],
    rules: {
      'max-depth': ['error', 4],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
    },
  },
  {
    name: 'plain JavaScript: no types to check',
    files: ['**/*.{js,cjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: readonlyGlobals(Object.getOwnPropertyNames(globalThis)) },
  },
  {
    name: 'CommonJS configuration',
    files: ['**/*.cjs'],
    languageOptions: { sourceType: 'commonjs', globals: { module: 'writable' } },
  },
  {
    name: 'pages: scripts of a browser',
    files: ['examples/**/public/**/*.js', 'test/interop/**/{page,public,web}/**/*.js'],
    languageOptions: { globals: readonlyGlobals(['window', 'document', 'location', 'io', '$']) },
  },
);
