// What tsc does not say of the page's code: markup made of text, and habits that hide defects.

import noUnsanitized from "eslint-plugin-no-unsanitized";

export default [
  { ignores: ["mesovid/serve/page/vendor/"] },
  {
    files: ["mesovid/serve/page/js/**/*.js"],
    plugins: { "no-unsanitized": noUnsanitized },
    rules: {
      "no-unsanitized/method": "error",
      "no-unsanitized/property": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      "no-unused-vars": "error",
      "no-shadow-restricted-names": "error",
      "no-self-compare": "error",
      "no-unreachable": "error",
      "no-constant-condition": "error",
    },
  },
];
