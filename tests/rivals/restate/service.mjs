// What Restate runs in the comparison: three durable steps, and one answer without any.
import * as restate from "@restatedev/restate-sdk";

const bench = restate.service({
  name: "bench",
  handlers: {
    three: async (ctx, body) => {
      let text = body.text;
      for (let step = 1; step <= 3; step++) {
        const given = text;
        text = await ctx.run(`step${step}`, async () => given);
      }
      return { text };
    },
    reply: async (_ctx, body) => ({
      greeting: `Hello ${body.name.toUpperCase()}`,
      length: body.text.length,
      open: true,
    }),
  },
});

restate.serve({ port: Number(process.env.SERVICE_PORT), services: [bench] });
