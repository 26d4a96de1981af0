import pickle


def report(records, network):
    import os

    with open(os.environ.get("ACC_OUT", "/work/scratch/acc.pkl"), "wb") as f:
        pickle.dump(
            [
                (
                    r.code,
                    r.decoder,
                    r.function,
                    r.data,
                    r.setting,
                    r.pattern,
                    r.outputs,
                    r.error,
                    r.predicted,
                )
                for r in records
            ],
            f,
        )
