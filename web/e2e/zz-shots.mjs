import { launch, collectErrors } from "./browser.mjs";
import { openBook } from "./storybook.mjs";
import { AxeBuilder } from "@axe-core/playwright";
const book = await openBook();
const browser = await launch();
try {
  for (const story of book.stories.filter((s) => s.name.startsWith("operator"))) {
    for (const [width, scheme] of [[390, "light"], [1280, "light"], [1280, "dark"], [768, "light"]]) {
      if (story.name !== "operator" && width === 768) continue;
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, javaScriptEnabled: true });
      const errors = collectErrors(context);
      const page = await context.newPage();
      await page.goto(story.url, { waitUntil: "load" });
      await page.screenshot({ path: `/work/side/tmp/watch/shots/${story.name}-${width}-${scheme}.png`, fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      const axe = await new AxeBuilder({ page }).analyze();
      console.log(story.name, width, scheme, "scrollWidth", wide, "errors", errors, "axe", axe.violations.map((v) => v.id + ": " + v.nodes[0].html.slice(0, 120)));
      await context.close();
    }
  }
} finally { await browser.close(); await book.close(); }
