// What a task of Node.js asks of Process Monitor, within a run. Lies beside the folder `task/`:
//
//   const { config, task, notifyTaskRTX, caePublish, progress } = require('../../helper.js');
//
// It runs the command `monitor`, or what MONITOR_COMMAND says.
'use strict';

const fs = require('fs');
const path = require('path');
const { execFile } = require('child_process');

// Resolves with what the command prints, and is rejected with what it says when it fails.
function monitor(args) {
  return new Promise((resolve, reject) => {
    execFile(process.env.MONITOR_COMMAND || 'monitor', args, (error, stdout, stderr) => {
      if (error) {
        const words = String(stderr).trim().replace(/^monitor: /, '');
        reject(new Error(words || error.message));
      } else {
        resolve(String(stdout).trim());
      }
    });
  });
}

// Settings of config/config.js, if it is there, and over them the task's own.
function readConfig() {
  const file = path.join(__dirname, 'config', 'config.js');
  const common = fs.existsSync(file) ? require(file) : {};
  const own = process.env.MONITOR_TASK_CONFIG;
  return { ...common, ...(own ? JSON.parse(fs.readFileSync(own, 'utf8')) : {}) };
}

module.exports = {
  config: readConfig(),

  // The run that this is.
  task: {
    name: process.env.MONITOR_TASK_NAME,
    run: process.env.MONITOR_RUN_ID,
    due: process.env.MONITOR_RUN_DUE,
    trigger: process.env.MONITOR_RUN_TRIGGER,
    publishDir: process.env.MONITOR_PUBLISH_DIR,
    logDir: process.env.MONITOR_LOG_DIR,
  },

  // Has somebody be told. `severity` is error, warn or info; notifications with the same `key` are about the same thing.
  notifyTaskRTX(title, text, { severity = 'warn', key } = {}) {
    const args = ['notify', '--severity', severity];
    if (text !== undefined) args.push('--text', typeof text === 'string' ? text : JSON.stringify(text));
    if (key !== undefined) args.push('--key', String(key));
    return monitor([...args, '--', String(title)]);
  },

  // Publishes what lies in publish/ to targets of the task, such as ['pre', 'prod'].
  caePublish(typeList) {
    return monitor(['publish', '--', ...[].concat(typeList).map(String)]);
  },

  // Tells how far the run is.
  progress(done, total) {
    return monitor(['progress', total === undefined ? String(done) : `${done}/${total}`]);
  },
};
