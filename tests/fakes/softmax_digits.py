"""Softmax regression on digits in numpy: a small workload that is given by its path, and learns."""

from typing import ClassVar

import numpy as np

from energybench.model import Modelled, Parameter
from energybench.workloads import data, resolve


class Learner:
    """Stochastic gradient descent whose rate falls to 0 over its passes."""

    def __init__(self, seed, rate, passes):
        self.digits, self.rate, self.passes = data.load("digits", seed=seed), rate, passes
        self.random = np.random.default_rng(seed)
        self.weights, self.bias = np.zeros((64, 10)), np.zeros(10)
        self.done = 0

    def learn(self):
        rate = self.rate * (1 - self.done / self.passes)
        order = self.random.permutation(len(self.digits.train_labels))
        for start in range(0, len(order), 32):
            self.step(order[start : start + 32], rate)
        self.done += 1
        return len(order)

    def step(self, chosen, rate):
        x, labels = self.digits.train_pixels[chosen] / self.digits.levels, self.digits.train_labels[chosen]
        scores = x @ self.weights + self.bias
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares[np.arange(len(labels)), labels] -= 1
        self.weights -= rate * x.T @ shares / len(labels)
        self.bias -= rate * shares.mean(0)

    def accuracy(self):
        scores = self.digits.test_pixels / self.digits.levels @ self.weights + self.bias
        return float((scores.argmax(1) == self.digits.test_labels).mean())


class Task:
    file_bytes = None
    samples = 32

    def __init__(self, values, seed):
        self.values, self.own = values, Learner(seed, values["rate"], values["passes"])
        self.definition = {"task": "softmax regression", "data": self.own.digits.described(), **values}

    def learner(self, seed):
        return Learner(seed, self.values["rate"], self.values["passes"])

    def step(self):
        self.own.step(np.arange(32), 1e-3)

    def evaluate(self):
        return {"accuracy": self.own.accuracy(), "peak_memory_bytes": self.own.weights.nbytes, "free_sweeps": 3}

    def details(self):
        return {"weights": [float(self.own.weights.min()), float(self.own.weights.max())]}

    def modelled(self):
        return {"analog_joules_per_sample": Modelled(value=6.4e-12, low=6.4e-13, high=6.4e-11)}

    def close(self):
        pass


class Regression:
    name = "softmax-digits"
    version = 1
    summary = "Softmax regression on digits"
    parameters: ClassVar = {
        "rate": Parameter(default=0.5, help="learning rate of the first pass"),
        "passes": Parameter(default=12, help="passes of the schedule"),
    }

    def prepare(self, parameters, *, seed, quick):
        return Task(resolve(self.parameters, parameters), seed)


workload = Regression()
