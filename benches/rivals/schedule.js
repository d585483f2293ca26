// node-schedule with these tasks, as its documentation has it: a job for each, which spawns the task's command.
//
// schedule.js TASKS MARK   TASKS: JSON, a list of [name, rule with seconds]; MARK: the command, which gets the name
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const schedule = require('node-schedule');

const [, , tasks, mark] = process.argv;
for (const [name, rule] of JSON.parse(readFileSync(tasks, 'utf8'))) {
  schedule.scheduleJob(rule, () => spawn(mark, [name], { stdio: 'ignore' }));
}
console.log('ready');
